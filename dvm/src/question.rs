//! What both faces do with a question's parameters before the catalogue sees them.

use std::collections::BTreeMap;

use bigbrotr_schema::catalog::CatalogError;

use crate::limits::MAX_PARAMS;

/// Collects parameters as they were written. One that is given twice has no meaning.
///
/// # Errors
/// [`CatalogError::InvalidParam`], the same on both faces.
pub(crate) fn collect_params(
    pairs: impl IntoIterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, CatalogError> {
    let mut params = BTreeMap::new();
    for (name, value) in pairs {
        if params.contains_key(&name) {
            return Err(refuse(&name, "given more than once"));
        }
        if params.len() == MAX_PARAMS {
            return Err(refuse(&name, "too many parameters"));
        }
        params.insert(name, value);
    }
    Ok(params)
}

/// Refuses a parameter; the message starts with its name, as the catalogue's do.
pub(crate) fn refuse(param: &str, reason: &str) -> CatalogError {
    let param: String = param.chars().take(100).collect();
    CatalogError::InvalidParam {
        message: format!("{param}: {reason}"),
        param,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_given_twice_is_refused_even_with_the_same_value() {
        let pair = |name: &str| (name.to_owned(), "1".to_owned());
        assert_eq!(collect_params([pair("a"), pair("b")]).unwrap().len(), 2);
        let error = collect_params([pair("a"), pair("a")]).unwrap_err();
        assert_eq!(
            error.to_json(),
            r#"{"error":{"code":"invalid_param","message":"a: given more than once","param":"a"}}"#
        );
    }
}
