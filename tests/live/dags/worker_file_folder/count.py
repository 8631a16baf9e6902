from airflow_provider_tasks import get_context, set_result

day = get_context()["ds"]
print(f"counting on {day}")
set_result(int(day[-2:]))
