/*---
title = "Revenue trend"
description = "Net revenue of every day with its average over the seven days that end on it, which smooths the week, against the same weekday a week and a year before. A row for each day of the period, also without a sale. Order: day."
section = "Sales"
grain = "day"
inherits = "sales"
lookback = 13
key = ["day"]
[derived]
first = "$from - 6d"
[[days]]
from = "$from - 13d"
to = "$to"
[[days]]
from = "$from - 370d"
to = "$to - 364d"
[publish]
[columns]
day = { type = "date", title = "Day" }
average_revenue = { type = "money", title = "Average of 7 days", note = "Of the day and the six before it, days without sales included; rounded half to even." }
running_revenue = { type = "money", title = "Running total", note = "From the first day of the period." }
[chart]
kind = "line"
x = "day"
y = "average_revenue"
---*/
WITH every_day AS (
    SELECT business_day AS day, net_cents AS net_revenue, CASE WHEN business_day >= $from THEN net_cents ELSE 0 END AS asked_revenue,
           week_ago_cents AS week_ago_revenue, year_ago_cents AS year_ago_revenue
    FROM compared_days
    WHERE business_day BETWEEN $first AND $to
),
running AS (
    SELECT day, net_revenue, week_ago_revenue, year_ago_revenue,
           SUM(net_revenue) OVER (ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total,
           SUM(asked_revenue) OVER (ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running_revenue
    FROM every_day
),
lagged AS (
    SELECT day, net_revenue, week_ago_revenue, year_ago_revenue, total, running_revenue, LAG(total, 7) OVER (ORDER BY day) AS total_before
    FROM running
)
SELECT day, net_revenue, (total - COALESCE(total_before, 0)) / 7 AS average_revenue, running_revenue, week_ago_revenue, year_ago_revenue
FROM lagged
WHERE day >= $from
ORDER BY day
