"""The check `lm-eval`: a revision sits an exam of EleutherAI's language model evaluation harness.

`check.py` is the plugin and runs in the worker. `harness.py` is the eval process: the only place
where torch, transformers and lm_eval are imported, and where code of a model repo may run.
"""
