"""Instrumentors of what refuses a request: authentication, suspicious operations, rate limits.

They tell the security pack, which counts one attempt for each request however many of them speak.
"""
