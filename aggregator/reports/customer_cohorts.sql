/*---
title = "Customer cohorts"
description = "Customers by the month of their first order, and how many of them order again in each month after. A row for each cohort and month in which one of its customers ordered or was refunded. Order: first order in, then months later."
section = "Customers"
grain = "snapshot"
key = ["cohort", "months_later"]
[params]
from = { type = "date", title = "Cohorts from", default = "today-365d" }
to = { type = "date", title = "Orders up to", default = "yesterday" }
[publish]
from = "$business_day - 364d"
to = "$business_day"
[columns]
cohort = { type = "date", title = "First order in", note = "First day of the month of a customer's first order that counts, at any time up to the last day." }
months_later = { type = "int32", title = "Months later", note = "0 is the month of the first order." }
customers = { type = "int64", title = "Customers", note = "Of the cohort, with an order in that month." }
share = { type = "float", title = "Share of the cohort", unit = "%", note = "Customers by those of the whole cohort." }
net_revenue = { type = "money", title = "Net revenue", note = "Of online orders that count, less what was refunded in that month; up to the last day. A month of refunds alone has no customers." }
[chart]
kind = "heatmap"
x = "months_later"
y = "share"
series = "cohort"
---*/
WITH monthly AS (
    SELECT o.customer_id AS customer_id, c.month_start AS month_start, c.year * 12 + c.month AS month_number, o.net_cents AS net_cents,
           CASE WHEN o.orders > 0 THEN o.customer_id END AS buyer
    FROM customer_days AS o
    JOIN calendar AS c ON c.business_day = o.business_day
    WHERE o.business_day <= $to
),
firsts AS (
    SELECT customer_id AS first_customer, MIN(month_start) AS cohort, MIN(month_number) AS first_number
    FROM monthly
    WHERE buyer IS NOT NULL
    GROUP BY customer_id
),
sizes AS (
    SELECT cohort AS sized_cohort, COUNT(*) AS size FROM firsts GROUP BY cohort
),
cells AS (
    SELECT f.cohort AS cohort, m.month_number - f.first_number AS months_later, COUNT(DISTINCT m.buyer) AS customers, SUM(m.net_cents) AS net_revenue
    FROM monthly AS m
    JOIN firsts AS f ON f.first_customer = m.customer_id
    GROUP BY cohort, months_later
)
SELECT c.cohort AS cohort, c.months_later AS months_later, c.customers AS customers, c.customers * 100.0 / s.size AS share, c.net_revenue AS net_revenue
FROM cells AS c
JOIN sizes AS s ON s.sized_cohort = c.cohort
WHERE c.cohort >= $from
ORDER BY cohort, months_later
