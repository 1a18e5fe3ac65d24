"""Where AWS says what the rules are about."""

from typing import Final

GUIDE: Final = "AWS IoT developer guide"
POLICIES: Final = f'{GUIDE}, "AWS IoT Core policies"'
VARIABLES: Final = f'{GUIDE}, "AWS IoT Core policy variables"'
CLAIMS: Final = f'{GUIDE}, "Provisioning by claim"'
TEMPLATES: Final = f'{GUIDE}, "Provisioning templates"'
QUOTAS: Final = "AWS IoT Core quotas"
IAM: Final = 'IAM user guide, "Security best practices"'
