"""Since which build, or which version of a subject, does a cell fail?"""
