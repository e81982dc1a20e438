/*---
title = "Customer RFM"
description = "Customers by how recently, how often and for how much they ordered: scores from 1 to 5 and a segment. Equal customers score alike. A row for each customer with an order that counts in the period. Order: net revenue, most first; ties by customer no."
section = "Customers"
grain = "snapshot"
key = ["customer_id"]
[params]
from = { type = "date", title = "From", default = "today-365d" }
to = { type = "date", title = "To", default = "yesterday" }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day - 364d"
to = "$business_day"
[columns]
customer_id = { type = "int64", title = "Customer no.", note = "The customer's number." }
last_order = { type = "date", title = "Last order", note = "Day of the last order in the period." }
orders = { type = "int64", title = "Orders", note = "Orders that count in the period." }
net_revenue = { type = "money", title = "Net revenue", note = "Of online orders that count, after discounts, less what was refunded in the period." }
recency = { type = "int32", title = "Recency", note = "1, and one more for each full fifth of the customers that ordered last on an earlier day: quintiles by rank (Hughes, Strategic Database Marketing), in which equal customers score alike." }
frequency = { type = "int32", title = "Frequency", note = "The same rule by the number of orders: 5 where at least four fifths ordered less often." }
monetary = { type = "int32", title = "Value", note = "The same rule by net revenue: 5 where at least four fifths spent less." }
segment = { type = "string", title = "Segment", note = "The first that holds. champion: all scores 4 or more; new: recency 4 or more, frequency 2 or less; loyal: frequency 4 or more; at risk: recency 2 or less, value 4 or more; sleeping: recency 2 or less; else regular." }
[chart]
kind = "bar"
x = "segment"
y = "net_revenue"
---*/
WITH by_customer AS (
    SELECT customer_id, MAX(CASE WHEN orders > 0 THEN business_day END) AS last_order, SUM(orders) AS orders, SUM(net_cents) AS net_revenue
    FROM customer_days
    WHERE business_day BETWEEN $from AND $to
    GROUP BY customer_id
),
placed AS (
    SELECT customer_id, last_order, orders, net_revenue, COUNT(*) OVER () AS number,
           5 * (RANK() OVER (ORDER BY last_order) - 1) AS below_recency,
           5 * (RANK() OVER (ORDER BY orders) - 1) AS below_frequency,
           5 * (RANK() OVER (ORDER BY net_revenue) - 1) AS below_value
    FROM by_customer
    WHERE orders > 0
),
scored AS (
    SELECT customer_id, last_order, orders, net_revenue,
           1 + CASE WHEN below_recency >= 4 * number THEN 4 WHEN below_recency >= 3 * number THEN 3 WHEN below_recency >= 2 * number THEN 2
                    WHEN below_recency >= number THEN 1 ELSE 0 END AS recency,
           1 + CASE WHEN below_frequency >= 4 * number THEN 4 WHEN below_frequency >= 3 * number THEN 3 WHEN below_frequency >= 2 * number THEN 2
                    WHEN below_frequency >= number THEN 1 ELSE 0 END AS frequency,
           1 + CASE WHEN below_value >= 4 * number THEN 4 WHEN below_value >= 3 * number THEN 3 WHEN below_value >= 2 * number THEN 2
                    WHEN below_value >= number THEN 1 ELSE 0 END AS monetary
    FROM placed
)
SELECT customer_id, last_order, orders, net_revenue, recency, frequency, monetary,
       CASE WHEN recency >= 4 AND frequency >= 4 AND monetary >= 4 THEN 'champion'
            WHEN recency >= 4 AND frequency <= 2 THEN 'new'
            WHEN frequency >= 4 THEN 'loyal'
            WHEN recency <= 2 AND monetary >= 4 THEN 'at risk'
            WHEN recency <= 2 THEN 'sleeping'
            ELSE 'regular' END AS segment
FROM scored
ORDER BY net_revenue DESC, customer_id
