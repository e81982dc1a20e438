//! The columns that lines of sales and of orders have alike: how a row's are checked, and priced.

use super::{Line, MAX_PIECES, ResolvedLine, Said};
use crate::amount::Price;
use crate::id::ProductId;
use crate::import::{Given, Major, Minor, Refusal, Rules, amount};
use crate::stock::Catalogue;
use crate::text::Text;

crate::columns! {
    /// The columns that lines of sales and of orders have alike.
    pub struct LineColumns {
        /// Number of the line within its document, above zero.
        line_no: i32 = "1",
        /// Id of the product at Inventory; where absent or empty it is found by `sku`, and where given both must agree.
        product_id: Option<ProductId> = "7",
        /// SKU of the product.
        sku: Text = "TEA-1",
        /// Name as it was sold; where absent or empty, what is stored stays, and a new line has Inventory's.
        product_name: Option<Text> = "Green tea",
        /// Category as it was sold; where absent or empty, what is stored stays, and a new line has Inventory's.
        category: Option<Text> = "Tea",
        /// Price of one piece before discounts, in minor units; below zero only on the line of a coupon.
        unit_price_cents: Option<Minor> = "1250",
        /// The same in major units, with a decimal point.
        unit_price: Option<Major> = "12.50",
        /// Cost of one piece, in minor units; where absent or empty, what is stored stays, and a new line has Inventory's of
        /// today.
        unit_cost_cents: Option<Price> = "500",
        /// The same in major units.
        unit_cost: Option<Major> = "5.00",
        /// Taken off the whole line, in minor units; below zero only on sales and returns, where the sign does not matter. What
        /// is stored stays where absent.
        discount_cents: Given<Minor> = "100",
        /// The same in major units.
        discount: Given<Major> = "1.00",
    }
}

impl LineColumns {
    /// The columns of the price, of which a file needs one.
    pub const PRICE: &'static [&'static str] = &["unit_price_cents", "unit_price"];

    /// The product that the line names.
    #[must_use]
    pub fn product(&self) -> (Option<ProductId>, &str) {
        (self.product_id, self.sku.as_str())
    }

    /// Price of one piece in minor units; not negative unless it is the line of a coupon.
    ///
    /// # Errors
    /// The column at fault and why.
    pub fn price(&self, rules: Rules) -> Result<i64, Refusal> {
        let minor = ("unit_price_cents", self.unit_price_cents.map(|price| price.0));
        let price = amount(minor, ("unit_price", self.unit_price), rules)?;
        let field = if self.unit_price_cents.is_some() { minor.0 } else { "unit_price" };
        let price = price.ok_or_else(|| Refusal::new("unit_price_cents", "is needed, or unit_price"))?;
        let most = Price::MAX.get();
        if (-most..=most).contains(&price) {
            Ok(price)
        } else {
            Err(Refusal::new(field, format!("must be from {} to {most} minor units", -most)))
        }
    }

    fn cost(&self, rules: Rules) -> Result<Option<i64>, Refusal> {
        let minor = ("unit_cost_cents", self.unit_cost_cents.map(Price::get));
        let cost = amount(minor, ("unit_cost", self.unit_cost), rules)?;
        match cost {
            Some(cost) if Price::try_from(cost).is_err() => {
                Err(Refusal::new("unit_cost", format!("must be from 0 to {} minor units", Price::MAX.get())))
            }
            cost => Ok(cost),
        }
    }

    /// Minor units taken off the line, with whatever sign the file gives them.
    ///
    /// # Errors
    /// The column at fault and why.
    pub fn discount(&self, rules: Rules) -> Result<i64, Refusal> {
        let minor = ("discount_cents", self.discount_cents.value().map(|amount| amount.0));
        let discount = amount(minor, ("discount", self.discount.value().copied()), rules)?;
        Ok(discount.unwrap_or(0))
    }

    /// Checks what the types alone cannot, of a line of so many pieces.
    ///
    /// # Errors
    /// The column at fault and why.
    pub fn check(&self, quantity: i64, rules: Rules) -> Result<(), Refusal> {
        if self.line_no < 1 {
            return Err(Refusal::new("line_no", "must be above zero"));
        }
        if quantity == 0 {
            return Err(Refusal::new("quantity", "must not be zero"));
        }
        if quantity.saturating_abs() > MAX_PIECES {
            return Err(Refusal::new("quantity", "is more than a line holds"));
        }
        let price = self.price(rules)?;
        self.cost(rules)?;
        if self.discount(rules)?.saturating_abs() > (quantity * price).abs() {
            return Err(Refusal::new("discount_cents", "is more than the line's price"));
        }
        Ok(())
    }

    /// The line with its product resolved; `quantity` has the sign that it is stored with.
    ///
    /// # Errors
    /// The column at fault and why.
    pub fn resolve(
        &self,
        at: u64,
        quantity: i64,
        catalogue: &Catalogue,
        rules: Rules,
    ) -> Result<ResolvedLine, Refusal> {
        let (product_id, known) = catalogue.resolve(self.product_id, self.sku.as_str())?;
        let text = |given: Option<&Text>, known: Option<&String>, column| {
            let text = given.map(|text| text.as_str().to_owned()).or_else(|| known.cloned());
            text.ok_or_else(|| Refusal::new(column, "is needed: Inventory does not know the product"))
        };
        let cost = self.cost(rules)?;
        let cost_known = cost.or(known.map(|known| known.unit_cost_cents));
        let unit_price_cents = self.price(rules)?;
        let mut line = Line {
            line_no: self.line_no,
            product_id,
            sku: self.sku.as_str().to_owned(),
            product_name: text(self.product_name.as_ref(), known.map(|known| &known.name), "product_name")?,
            category: text(self.category.as_ref(), known.map(|known| &known.category), "category")?,
            quantity,
            unit_price_cents,
            unit_cost_cents: cost_known
                .ok_or_else(|| Refusal::new("unit_cost_cents", "is needed: Inventory does not know the product"))?,
            discount_cents: 0,
        };
        line.discount_cents = self.discount(rules)?.saturating_abs() * line.gross().signum();
        let said = Said {
            name: self.product_name.is_some(),
            category: self.category.is_some(),
            cost: cost.is_some(),
            discount: self.discount_cents.is_said() || self.discount.is_said(),
        };
        Ok(ResolvedLine { at, line, said })
    }
}
