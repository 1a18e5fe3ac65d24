"""Our own linter of policies and templates: least privilege, and what AWS notices too late.

``rules`` lists what is looked for and why; ``policy_rules``, ``topic_rules`` and
``template_rules`` do the looking; ``linter`` joins them.
"""
