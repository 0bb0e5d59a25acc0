"""Runs a command so that nothing of it outlives whoever asked for it.

Three processes: the asker (a worker), the supervisor (`python -m proctor.checks.supervisor`) and
the command. The supervisor ends the command and all that came of it when the asker dies, however
it dies. What a supervisor leaves behind that is killed itself, the asker ends (`strays`); where
that was killed too, `reap` ends what it finds of it before the next attempt.
"""
