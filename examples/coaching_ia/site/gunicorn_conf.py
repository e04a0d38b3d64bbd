"""How gunicorn serves the site."""

worker_class = "gthread"
threads = 8
timeout = 60
# Newer versions would leave a socket in the home folder.
control_socket_disable = True
