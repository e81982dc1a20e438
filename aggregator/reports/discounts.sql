/*---
title = "Discounts"
description = "What was given away: list value, discounts and their rate by category, against the period before and the same weekdays a year ago. A row for each category with a line in any of the three. Order: discounts, most first; ties by category."
section = "Sales"
grain = "day"
inherits = "sales"
key = ["category"]
[publish]
[columns]
category = { type = "string", title = "Category" }
list_value = { type = "money", title = "List value", note = "Net revenue before discounts: net revenue and discounts together." }
discount_rate = { type = "float", title = "Discount rate", unit = "%", note = "Discounts by list value; empty where that is not above zero." }
previous_discount = { type = "money", title = "Discounts before", note = "Of as many days just before the period." }
change = { note = "Discounts against those of the period before; empty where those were not above zero." }
year_ago_discount = { type = "money", title = "Discounts a year ago", note = "Of the same weekdays, 364 days earlier." }
year_change = { note = "Discounts against those of a year ago; empty where those were not above zero." }
[chart]
kind = "bar"
x = "category"
y = "discount"
---*/
WITH cells AS (
    SELECT category, discount_cents, net_cents, business_day BETWEEN $from AND $to AS is_now,
           business_day BETWEEN $before_from AND $before_to AS is_before, business_day BETWEEN $year_from AND $year_to AS is_year_ago
    FROM category_days
    WHERE business_day BETWEEN $before_from AND $to OR business_day BETWEEN $year_from AND $year_to
),
by_category AS (
    SELECT category, SUM(CASE WHEN is_now THEN net_cents + discount_cents ELSE 0 END) AS list_value,
           SUM(CASE WHEN is_now THEN discount_cents ELSE 0 END) AS discount,
           SUM(CASE WHEN is_now THEN net_cents ELSE 0 END) AS net_revenue,
           SUM(CASE WHEN is_before THEN discount_cents ELSE 0 END) AS previous_discount,
           SUM(CASE WHEN is_year_ago THEN discount_cents ELSE 0 END) AS year_ago_discount
    FROM cells
    GROUP BY category
)
SELECT category, list_value, discount, CASE WHEN list_value > 0 THEN discount * 100.0 / list_value END AS discount_rate, net_revenue,
       previous_discount,
       CASE WHEN previous_discount > 0 THEN (discount - previous_discount) * 100.0 / previous_discount END AS change,
       year_ago_discount,
       CASE WHEN year_ago_discount > 0 THEN (discount - year_ago_discount) * 100.0 / year_ago_discount END AS year_change
FROM by_category
ORDER BY discount DESC, category
