"""Tree-closing downtimes, from the request to TREE OPEN. The room is reserved; its work is still to come."""
