"""Print the compiled tables: for each pair of types the rules and effects that run, in order."""

from handlers.rules import effects, flow_runs, task_runs

TABLES = {
    "Rules for flow runs": flow_runs.FLOW_RUN,
    "Rules for flow runs of old workers": flow_runs.FLOW_RUN_OF_OLD_WORKER,
    "Rules for flow runs when forced": flow_runs.FORCED_FLOW_RUN,
    "Rules for flow runs that are late": flow_runs.LATE_FLOW_RUN,
    "Effects on flow runs": effects.FLOW_RUN_EFFECTS,
    "Rules for task runs": task_runs.TASK_RUN,
    "Rules for background task runs": task_runs.BACKGROUND_TASK_RUN,
    "Effects on task runs": effects.TASK_RUN_EFFECTS,
}

for title, table in TABLES.items():
    print(f"\n{title}")
    for (initial, proposed), functions in sorted(table.items(), key=lambda item: (item[0][0] or "", item[0][1])):
        if functions:
            print(f"  {initial or 'no state':>10} → {proposed:<10}  {', '.join(function.__name__ for function in functions)}")
