"""How ciduty speaks with what keeps the trees: `reading.py` asks a service, `writing.py` changes what it says.

`by_hand.py` stands for no service. No rows here but there.
"""
