/*---
title = "Hours of the week"
description = "When customers buy: tickets and net revenue by weekday and local hour, in total and per such day."
section = "Sales"
grain = "day"
key = ["weekday", "hour"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
channel = { type = "choice", title = "Channel", choices = ["all", "store", "online"], default = "all" }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
[columns]
weekday = { type = "int32", title = "Weekday" }
hour = { type = "int32", title = "Hour", note = "Local, 0 to 23: in the store's zone, online in the company's." }
tickets = { type = "int64", title = "Tickets" }
net_revenue = { type = "money", title = "Net revenue" }
tickets_per_day = { type = "float", title = "Tickets per day", note = "By the number of such weekdays in the period." }
[chart]
kind = "heatmap"
x = "hour"
y = "tickets"
series = "weekday"
---*/
WITH by_hour AS (
    SELECT c.day_of_week AS weekday, s.business_hour AS hour, COUNT(DISTINCT CASE WHEN NOT s.is_return THEN s.document_key END) AS tickets,
           SUM(s.net_cents) AS net_revenue
    FROM sales AS s
    JOIN calendar AS c ON c.business_day = s.business_day
    WHERE s.business_day BETWEEN $from AND $to AND ($channel = 'all' OR s.channel = $channel)
    GROUP BY weekday, hour
),
weekdays AS (
    SELECT day_of_week, COUNT(*) AS days FROM calendar WHERE business_day BETWEEN $from AND $to GROUP BY day_of_week
)
SELECT h.weekday AS weekday, h.hour AS hour, h.tickets AS tickets, h.net_revenue AS net_revenue, h.tickets * 1.0 / w.days AS tickets_per_day
FROM by_hour AS h
JOIN weekdays AS w ON w.day_of_week = h.weekday
ORDER BY weekday, hour
