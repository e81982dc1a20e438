/*---
title = "Customer lifetime value"
description = "What each customer has brought so far: orders, net revenue, margin and average order. A row for each customer with an order that counts up to the day, up to the limit. Order: net revenue, most first; ties by customer no."
section = "Customers"
grain = "snapshot"
key = ["customer_id"]
[params]
to = { type = "date", title = "Up to", default = "yesterday" }
limit = { type = "int", title = "Rows", default = 100, min = 1, max = 1000000 }
[publish]
to = "$business_day"
limit = 100000
[columns]
customer_id = { type = "int64", title = "Customer no.", note = "The customer's number." }
country = { type = "string", title = "Country", note = "Of the customer now; no text where none is known." }
city = { type = "string", title = "City", note = "Of the customer now; no text where none is known." }
signup_day = { type = "date", title = "Signed up", note = "Empty where the customer is not known." }
first_order = { type = "date", title = "First order", note = "Day of the first order that counts." }
last_order = { type = "date", title = "Last order", note = "Day of the last order that counts, up to the day." }
orders = { type = "int64", title = "Orders", note = "Online orders that count, up to the day." }
net_revenue = { type = "money", title = "Net revenue", note = "Of all online orders that count, up to the day, less what was refunded by then." }
margin = { type = "money", title = "Margin", note = "Net revenue less the cost frozen on each line." }
average_order = { type = "money", title = "Average order", note = "Of the orders before any refund; rounded half to even." }
[chart]
kind = "bar"
x = "customer_id"
y = "net_revenue"
---*/
WITH by_customer AS (
    SELECT customer_id, MIN(CASE WHEN orders > 0 THEN business_day END) AS first_order, MAX(CASE WHEN orders > 0 THEN business_day END) AS last_order,
           SUM(orders) AS orders, SUM(CASE WHEN orders > 0 THEN net_cents ELSE 0 END) AS ordered,
           SUM(net_cents) AS net_revenue, SUM(margin_cents) AS margin
    FROM customer_days
    WHERE business_day <= $to
    GROUP BY customer_id
)
SELECT b.customer_id AS customer_id, COALESCE(c.country, '') AS country, COALESCE(c.city, '') AS city, c.signup_day AS signup_day,
       b.first_order AS first_order, b.last_order AS last_order, b.orders AS orders, b.net_revenue AS net_revenue, b.margin AS margin,
       b.ordered / b.orders AS average_order
FROM by_customer AS b
LEFT JOIN customers AS c ON c.customer_id = b.customer_id
WHERE b.orders > 0
ORDER BY net_revenue DESC, customer_id
LIMIT $limit
