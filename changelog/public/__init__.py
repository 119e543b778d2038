"""What everybody reads of the change log: pages, feeds, files. Nothing here asks who is signed in."""
