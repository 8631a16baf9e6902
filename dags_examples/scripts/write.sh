# Writes a word so often as its argument says; its result is the text.
set -e
for number in $(seq "$1"); do
    echo "word $number of $1" >&2
    printf '%s ' "$word"
done > text
echo "\"$(cat text)\"" > "$AIRFLOW_TASK_RESULT"
