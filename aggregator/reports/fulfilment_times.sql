/*---
title = "Fulfilment times"
description = "How long online orders of the period take from order to confirmation, shipping and delivery. A row for each stage that an order placed in the period and not cancelled has passed. Order: step."
section = "Customers"
engine = "in-memory"
grain = "day"
key = ["step"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
[columns]
step = { type = "int32", title = "Step", note = "1 to 4, in the order of the stages." }
stage = { type = "string", title = "Stage", note = "Which two moments of an order are apart." }
orders = { type = "int64", title = "Orders", note = "Placed in the period, not cancelled, that have passed the stage so far." }
average_hours = { type = "float", title = "Average", unit = "hours", note = "Of these orders; fractions of a second are cut off each moment." }
median_hours = { type = "float", title = "Median", unit = "hours", note = "The middle one of these orders, the mean of two." }
longest_hours = { type = "float", title = "Longest", unit = "hours", note = "Of these orders." }
[chart]
kind = "bar"
x = "stage"
y = "average_hours"
---*/
WITH moments AS (
    SELECT FLOOR(EXTRACT(EPOCH FROM occurred_at)) AS placed, FLOOR(EXTRACT(EPOCH FROM confirmed_at)) AS confirmed,
           FLOOR(EXTRACT(EPOCH FROM shipped_at)) AS shipped, FLOOR(EXTRACT(EPOCH FROM delivered_at)) AS delivered
    FROM orders
    WHERE business_day BETWEEN $from AND $to AND status <> 'cancelled'
),
spans AS (
    SELECT CAST(1 AS INTEGER) AS step, 'order to confirmation' AS stage, (confirmed - placed) / 3600.0 AS hours FROM moments WHERE confirmed IS NOT NULL
    UNION ALL
    SELECT CAST(2 AS INTEGER) AS step, 'confirmation to shipping' AS stage, (shipped - confirmed) / 3600.0 AS hours FROM moments WHERE shipped IS NOT NULL AND confirmed IS NOT NULL
    UNION ALL
    SELECT CAST(3 AS INTEGER) AS step, 'shipping to delivery' AS stage, (delivered - shipped) / 3600.0 AS hours FROM moments WHERE delivered IS NOT NULL AND shipped IS NOT NULL
    UNION ALL
    SELECT CAST(4 AS INTEGER) AS step, 'order to delivery' AS stage, (delivered - placed) / 3600.0 AS hours FROM moments WHERE delivered IS NOT NULL
)
SELECT step, MAX(stage) AS stage, COUNT(*) AS orders, AVG(hours) AS average_hours, MEDIAN(hours) AS median_hours, MAX(hours) AS longest_hours
FROM spans
GROUP BY step
ORDER BY step
