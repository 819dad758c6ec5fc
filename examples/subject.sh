#!/bin/sh
# A small flag generator for llama-harness in shell: ngram-mod with the renamed flags, always.
#
#     llama-harness matrix --subject "command:sh examples/subject.sh" --build 'b9*'
#
# The question is one line of JSON without blanks; paths with quotes in them need a real parser.
question=$(cat)
field() { printf '%s' "$question" | sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }

cat <<ANSWER
{
  "argv": [
    "-m", "$(field model_path)", "--port", "$(field port)", "-c", "$(field context_length)",
    "--spec-type", "ngram-mod",
    "--spec-ngram-mod-n-match", "24", "--spec-ngram-mod-n-min", "48", "--spec-ngram-mod-n-max", "64"
  ],
  "resolved_mode": "ngram"
}
ANSWER
