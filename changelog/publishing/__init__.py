"""What duty does with changes: the queue, the verbs, one line said, the forms. What happens then: `workflow.py`."""
