"""The web application that gunicorn serves."""

import os
from importlib import import_module

import django
from django.conf import settings

from medimaging import configuration

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medimaging.settings")

if settings.SECRET_KEY == settings.INSECURE_SECRET_KEY:
    configuration.stop_without("SECRET_KEY", "the web server would sign sessions for anybody")

django.setup(set_prefix=False)
application = import_module("medimaging.handler").Application()
# Before the server forks: the workers share them, and the first visitor doesn't wait.
import_module(settings.ROOT_URLCONF)
import_module("medimaging.told_reads").check_every_view_declares()
