"""How requests come to a thread: whole and small, or as one of few that move files.

gunicorn's threaded worker gives a thread to whoever connects. This one reads heads and small
bodies without a thread, sends small answers without one, and lets nobody's silence cost more
than a socket.
"""
