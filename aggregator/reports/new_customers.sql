/*---
title = "New customers"
description = "Sign-ups by month, and how many of them have ordered since. A row for each month in which somebody signed up in the period. Order: month."
section = "Customers"
grain = "snapshot"
key = ["month"]
[params]
from = { type = "date", title = "From", default = "today-365d" }
to = { type = "date", title = "To", default = "yesterday" }
[publish]
from = "$business_day - 364d"
to = "$business_day"
[columns]
month = { type = "date", title = "Month", note = "Its first day." }
signed_up = { type = "int64", title = "Signed up", note = "Customers who signed up in that month, on a day of the period." }
with_order = { type = "int64", title = "With an order", note = "That counts, at any time up to now." }
share = { type = "float", title = "Share with an order", unit = "%", note = "With an order, by signed up." }
[chart]
kind = "bar"
x = "month"
y = "signed_up"
---*/
WITH buyers AS (
    SELECT DISTINCT customer_id AS buyer FROM customer_days WHERE orders > 0
),
joined AS (
    SELECT k.month_start AS month, c.customer_id AS customer_id, b.buyer AS buyer
    FROM customers AS c
    JOIN calendar AS k ON k.business_day = c.signup_day
    LEFT JOIN buyers AS b ON b.buyer = c.customer_id
    WHERE c.signup_day BETWEEN $from AND $to
),
counted AS (
    SELECT month, COUNT(*) AS signed_up, COUNT(buyer) AS with_order FROM joined GROUP BY month
)
SELECT month, signed_up, with_order, with_order * 100.0 / signed_up AS share
FROM counted
ORDER BY month
