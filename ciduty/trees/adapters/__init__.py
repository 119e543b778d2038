"""How ciduty speaks with what keeps the trees: `reading.py` asks a service, `by_hand.py` stands for none.

Writing to a service comes beside them. No rows here but in `by_hand.py`.
"""
