"""No table is made: these models stand for what the sessions' store holds."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel(
            name="Key",
            fields=[
                ("path", models.TextField(editable=False, primary_key=True, serialize=False)),
                ("session_key", models.CharField(max_length=255, verbose_name="session key")),
                ("count", models.PositiveIntegerField(verbose_name="sessions")),
                ("last_seen_at", models.DateTimeField(verbose_name="last seen")),
            ],
            options={
                "verbose_name": "session key",
                "verbose_name_plural": "session keys",
                "managed": False,
                "default_permissions": (),
                "base_manager_name": "objects",
                "default_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "handle",
                    models.CharField(
                        editable=False,
                        max_length=41,
                        primary_key=True,
                        serialize=False,
                        verbose_name="handle",
                    ),
                ),
                ("session_key", models.CharField(max_length=255, verbose_name="session key")),
                ("device", models.CharField(blank=True, max_length=255, verbose_name="device")),
                ("user_agent", models.TextField(blank=True, verbose_name="user agent")),
                ("ip", models.CharField(blank=True, max_length=45, verbose_name="IP address")),
                ("created_at", models.DateTimeField(verbose_name="created")),
                ("last_seen_at", models.DateTimeField(verbose_name="last seen")),
                ("expires_at", models.DateTimeField(null=True, verbose_name="expires")),
                ("is_current", models.BooleanField(verbose_name="current")),
            ],
            options={
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
                "permissions": (("view_session_data", "Can view session data"),),
                "managed": False,
                "base_manager_name": "objects",
                "default_manager_name": "objects",
            },
        ),
    ]
