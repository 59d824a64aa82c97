"""The async JSON views."""
