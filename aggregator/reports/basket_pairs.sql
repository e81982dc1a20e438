/*---
title = "Bought together"
description = "Pairs of products in one basket, and how much more often than chance would put them there. A row for each pair with enough baskets in the period, up to the limit, the lower product no. as A. Order: baskets, most first; ties by product A, then product B."
section = "Products"
grain = "day"
lookback = 27
key = ["product_a", "product_b"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
least = { type = "int", title = "Baskets at least", default = 5, min = 1, max = 1000000 }
limit = { type = "int", title = "Rows", default = 100, min = 1, max = 10000 }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day - 27d"
to = "$business_day"
limit = 10000
[columns]
product_a = { type = "int64", title = "Product A", note = "Number of the product, the lower of the pair." }
name_a = { type = "string", title = "Name A", note = "Names are those of the latest line in the period; of several at that moment, the one with the highest document and line of that day." }
product_b = { type = "int64", title = "Product B", note = "Number of the product, the higher of the pair." }
name_b = { type = "string", title = "Name B", note = "As name A." }
baskets = { type = "int64", title = "Baskets", note = "Sales and orders with both; returns are none." }
support = { type = "float", title = "Support", unit = "%", note = "Baskets with both, of all baskets in the period." }
confidence = { type = "float", title = "B given A", unit = "%", note = "Baskets with both, of those with A." }
lift = { type = "float", title = "Lift", note = "Support, by the product of the shares of the baskets with A and with B. 1 is chance; above it they attract each other." }
[chart]
kind = "bar"
x = "name_a"
y = "lift"
---*/
WITH lines AS (
    SELECT DISTINCT document_key, product_id
    FROM sales
    WHERE NOT is_return AND quantity > 0 AND business_day BETWEEN $from AND $to
),
singles AS (
    SELECT product_id, COUNT(*) AS baskets FROM lines GROUP BY product_id
),
total AS (
    SELECT COUNT(DISTINCT document_key) AS number FROM lines
),
left_lines AS (
    SELECT document_key AS left_key, product_id AS product_a FROM lines
),
right_lines AS (
    SELECT document_key AS right_key, product_id AS product_b FROM lines
),
pairs AS (
    SELECT l.product_a AS product_a, r.product_b AS product_b, COUNT(*) AS baskets
    FROM left_lines AS l
    JOIN right_lines AS r ON r.right_key = l.left_key
    WHERE l.product_a < r.product_b
    GROUP BY product_a, product_b
),
frequent AS (
    SELECT product_a, product_b, baskets FROM pairs WHERE baskets >= $least
),
latest AS (
    SELECT product_id, MAX(last_at) AS labelled_at
    FROM product_days
    WHERE business_day BETWEEN $from AND $to
    GROUP BY product_id
),
late_labels AS (
    SELECT d.product_id AS labelled_id, d.sku AS sku, d.product_name AS product, d.category AS category,
           -d.last_document AS late_document, -d.last_line AS late_line
    FROM product_days AS d
    JOIN latest AS b ON b.product_id = d.product_id AND b.labelled_at = d.last_at
    WHERE d.business_day BETWEEN $from AND $to
),
labels AS (
    SELECT labelled_id, sku, product, ROW_NUMBER() OVER (PARTITION BY labelled_id ORDER BY late_document, late_line, sku, product, category) AS lateness
    FROM late_labels
),
names AS (
    SELECT labelled_id AS named_id, product FROM labels WHERE lateness = 1
)
SELECT f.product_a AS product_a, na.product AS name_a, f.product_b AS product_b, nb.product AS name_b, f.baskets AS baskets,
       f.baskets * 100.0 / t.number AS support, f.baskets * 100.0 / a.baskets AS confidence,
       f.baskets * 1.0 * t.number / (a.baskets * b.baskets) AS lift
FROM frequent AS f
JOIN singles AS a ON a.product_id = f.product_a
JOIN singles AS b ON b.product_id = f.product_b
JOIN names AS na ON na.named_id = f.product_a
JOIN names AS nb ON nb.named_id = f.product_b
CROSS JOIN total AS t
ORDER BY baskets DESC, product_a, product_b
LIMIT $limit
