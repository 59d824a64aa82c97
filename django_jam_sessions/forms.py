from django import forms
from django.utils.translation import gettext_lazy as _


class PasswordForm(forms.Form):
    """The password, once more."""

    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )
