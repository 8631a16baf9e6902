echo "cleaning up to $1"
echo "{\"day\": \"$1\", \"count\": $2}" > "$AIRFLOW_TASK_RESULT"
