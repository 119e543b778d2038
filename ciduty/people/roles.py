"""The roles a person can have. What each may do stands in `ciduty/access.py`."""

from django.db import models


class Role(models.TextChoices):
    """Who somebody is to CiDuty; strangers are PUBLIC."""

    PUBLIC = "public", "Public"
    DEVELOPER = "developer", "Developer"
    SCHEDULER = "scheduler", "Scheduler (IT, RelEng, WebDev)"
    MANAGER = "manager", "Manager"
    DUTY = "duty", "Duty"
    LEAD = "lead", "Lead"


#: The roles whose people are CiDuty: their word in Bugzilla answers a request.
CIDUTY_ROLES = frozenset({Role.DUTY, Role.LEAD})
