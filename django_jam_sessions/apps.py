from django.apps import AppConfig, apps
from django.core import checks
from django.utils.translation import gettext_lazy as _


class JamSessionsConfig(AppConfig):
    name = "django_jam_sessions"
    label = "jam_sessions"
    verbose_name = _("Sessions")

    def ready(self) -> None:
        from . import receivers
        from .checks import check_settings
        from .deployment_checks import check_deployment

        checks.register(check_settings)
        checks.register(check_deployment, checks.Tags.security, deploy=True)
        if apps.is_installed("django.contrib.auth"):
            receivers.connect()
