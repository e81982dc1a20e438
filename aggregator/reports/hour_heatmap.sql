/*---
title = "Hours of the week"
description = "When customers buy: tickets and net revenue by weekday and local hour, in total and per such day, against the same weekdays just before and a year ago. A row for each weekday and hour with a line in any of the three, of the weekdays that the period has. Order: weekday, then hour."
section = "Sales"
engine = "in-memory"
grain = "day"
inherits = "sales"
lookback = 7
key = ["weekday", "hour"]
[params]
channel = { type = "choice", title = "Channel", choices = ["all", "store", "online"], default = "all" }
[derived]
before_from = "$from - weeks"
before_to = "$to - weeks"
[[days]]
from = "$from - weeks"
to = "$to"
[[days]]
from = "$from - 364d"
to = "$to - 364d"
[publish]
[columns]
weekday = { type = "int32", title = "Weekday" }
hour = { type = "int32", title = "Hour", note = "Local, 0 to 23: in the store's zone, online in the company's." }
tickets_per_day = { type = "float", title = "Tickets per day", note = "Tickets by the number of such weekdays in the period, days without a sale included." }
previous_revenue = { note = "Of the same weekdays just before: as many whole weeks earlier as hold the period." }
[chart]
kind = "heatmap"
x = "hour"
y = "tickets"
series = "weekday"
---*/
WITH hourly AS (
    SELECT business_day, business_hour, SUM(tickets) AS tickets, SUM(net_cents) AS net_cents
    FROM hour_days
    WHERE (business_day BETWEEN $from AND $to OR business_day BETWEEN $before_from AND $before_to
           OR business_day BETWEEN $year_from AND $year_to)
      AND ($channel = 'all' OR channel = $channel)
    GROUP BY business_day, business_hour
),
compared AS (
    SELECT business_day, business_hour, tickets, net_cents, business_day BETWEEN $from AND $to AS is_now,
           business_day BETWEEN $before_from AND $before_to AS is_before, business_day BETWEEN $year_from AND $year_to AS is_year_ago
    FROM hourly
),
-- A ticket is of one day and hour, so the tickets of an hour of the week are those of its hours together.
by_hour AS (
    SELECT c.day_of_week AS weekday, s.business_hour AS hour,
           SUM(CASE WHEN s.is_now THEN s.tickets ELSE 0 END) AS tickets,
           SUM(CASE WHEN s.is_now THEN s.net_cents ELSE 0 END) AS net_revenue,
           SUM(CASE WHEN s.is_before THEN s.net_cents ELSE 0 END) AS previous_revenue,
           SUM(CASE WHEN s.is_year_ago THEN s.net_cents ELSE 0 END) AS year_ago_revenue
    FROM compared AS s
    JOIN calendar AS c ON c.business_day = s.business_day
    GROUP BY weekday, hour
),
weekdays AS (
    SELECT day_of_week, COUNT(*) AS days FROM calendar WHERE business_day BETWEEN $from AND $to GROUP BY day_of_week
)
SELECT h.weekday AS weekday, h.hour AS hour, h.tickets AS tickets, h.net_revenue AS net_revenue, h.tickets * 1.0 / w.days AS tickets_per_day,
       h.previous_revenue AS previous_revenue,
       CASE WHEN h.previous_revenue > 0 THEN (h.net_revenue - h.previous_revenue) * 100.0 / h.previous_revenue END AS change,
       h.year_ago_revenue AS year_ago_revenue,
       CASE WHEN h.year_ago_revenue > 0 THEN (h.net_revenue - h.year_ago_revenue) * 100.0 / h.year_ago_revenue END AS year_change
FROM by_hour AS h
JOIN weekdays AS w ON w.day_of_week = h.weekday
ORDER BY weekday, hour
