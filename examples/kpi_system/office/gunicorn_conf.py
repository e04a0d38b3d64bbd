"""How gunicorn serves the office."""

worker_class = "gthread"
threads = 4
# Newer versions would leave a socket in the home folder.
control_socket_disable = True
