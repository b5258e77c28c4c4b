//! JSON-RPC: questions as text, and the answer to each found in a reply.

use std::borrow::Cow;

use super::fault::Complaint;
use super::json::{Malformed, Scan};

/// A question: a method and its parameters as JSON.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) method: Cow<'static, str>,
    pub(super) params: String,
    /// The longest reply that is read, in bytes.
    pub(super) longest: usize,
}

impl Question {
    pub(super) fn new(method: impl Into<Cow<'static, str>>, params: String) -> Self {
        Self { method: method.into(), params, longest: usize::MAX }
    }

    /// The request's text.
    pub(super) fn text(&self, id: u64) -> String {
        let method = serde_json::Value::from(self.method.as_ref());
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{}}}"#, self.params)
    }
}

/// What a reply says to a question.
pub(super) type Said<T> = Result<T, Complaint>;

/// Reads the reply to one question. `read` takes the result, where there is one, in the same pass.
///
/// # Errors
/// It is cut off, is no reply, or is the reply to another question.
pub(super) fn reply<'a, T>(
    text: &'a [u8],
    id: u64,
    read: impl FnMut(&mut Scan<'a>) -> Result<T, Malformed>,
) -> Result<Said<T>, Malformed> {
    let mut scan = Scan::new(text);
    let (found, said) = one_reply(&mut scan, read)?;
    scan.end()?;
    // A node that could not read the question cannot repeat its number, so an error without one is about this question.
    if found == Some(id) || (found.is_none() && said.is_err()) {
        return Ok(said);
    }
    Err(Malformed::new("is the answer to another question"))
}

/// Reads the reply to a batch: what is said to each question, in the order of the questions, which had the numbers from `id` on.
///
/// # Errors
/// It is cut off or is no such reply.
pub(super) fn batch<'a>(text: &'a [u8], id: u64, count: usize) -> Result<Vec<Option<Said<&'a str>>>, Malformed> {
    let mut all: Vec<Option<Said<&'a str>>> = vec![None; count];
    let mut scan = Scan::new(text);
    scan.list(|scan| {
        let (found, said) = one_reply(scan, raw)?;
        let place = found.and_then(|found| usize::try_from(found.checked_sub(id)?).ok());
        match place.and_then(|place| all.get_mut(place)) {
            Some(place @ None) => *place = Some(said),
            Some(Some(_)) => return Err(Malformed::new("answers a question twice")),
            // Not an answer to anything; what is missing for it is noticed by the caller.
            None => {}
        }
        Ok(())
    })?;
    scan.end()?;
    Ok(all)
}

/// Takes a result as it stands.
pub(super) fn raw<'a>(scan: &mut Scan<'a>) -> Result<&'a str, Malformed> {
    let range = scan.skip()?;
    std::str::from_utf8(&scan.text()[range]).map_err(|_| Malformed::new("is not UTF-8"))
}

fn one_reply<'a, T>(
    scan: &mut Scan<'a>,
    mut read: impl FnMut(&mut Scan<'a>) -> Result<T, Malformed>,
) -> Result<(Option<u64>, Said<T>), Malformed> {
    let (mut id, mut result, mut complaint, mut is_null) = (None, None, None, false);
    scan.object(|scan, key| {
        match key {
            b"id" => {
                let range = scan.skip()?;
                id = number(&scan.text()[range]);
            }
            // Some nodes send both, the one that is not meant being null.
            b"error" => {
                let range = scan.skip()?;
                let error = &scan.text()[range];
                complaint = (error != b"null").then(|| Complaint::read(error));
            }
            b"result" if result.is_some() || is_null => return Err(Malformed::new("has two results")),
            // A null beside an error is not a result, so it is not read before the rest is known.
            b"result" if scan.peek()? == b'n' => {
                scan.skip()?;
                is_null = true;
            }
            b"result" => result = Some(read(scan)?),
            _ => {
                scan.skip()?;
            }
        }
        Ok(())
    })?;
    match (result, complaint) {
        (_, Some(complaint)) => Ok((id, Err(complaint))),
        (Some(result), None) => Ok((id, Ok(result))),
        (None, None) if is_null => Ok((id, Ok(read(&mut Scan::new(b"null"))?))),
        (None, None) => Err(Malformed::new("has neither a result nor an error")),
    }
}

/// A question's number, which some nodes give back as text.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The complaint in a reply, whatever question it is about.
pub(super) fn complaint(text: &[u8]) -> Option<Complaint> {
    let mut scan = Scan::new(text);
    one_reply(&mut scan, raw).ok()?.1.err()
}

/// The number of a reply, for finding out who waits for it.
pub(super) fn first_id(text: &[u8]) -> Option<u64> {
    let mut id = None;
    let outcome = Scan::new(text).object(|scan, key| {
        let range = scan.skip()?;
        if key == b"id" {
            id = number(&scan.text()[range]);
        }
        Ok(())
    });
    outcome.ok().and(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Said<&str>, Malformed> {
        reply(text.as_bytes(), 7, raw)
    }

    #[test]
    fn a_reply_is_to_the_question() {
        assert_eq!(read(r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#), Ok(Ok("\"0x1\"")));
        assert_eq!(read(r#"{"result":[1, 2],"id":"7"}"#), Ok(Ok("[1, 2]")), "the number as text, and behind");
        assert_eq!(read(r#"{"id":7,"result":null}"#), Ok(Ok("null")));
        assert_eq!(read(r#"{"id":7,"error":null,"result":1}"#), Ok(Ok("1")));
        let complaint = Complaint { code: -1, message: "no".to_owned(), ..Complaint::default() };
        for text in [
            r#"{"id":7,"result":null,"error":{"code":-1,"message":"no"}}"#,
            r#"{"error":{"code":-1,"message":"no"},"result":null,"id":7}"#,
            r#"{"id":null,"error":{"code":-1,"message":"no"}}"#,
        ] {
            assert_eq!(read(text), Ok(Err(complaint.clone())), "{text}");
        }
    }

    #[test]
    fn what_is_no_reply() {
        for text in [
            r#"{"id":8,"result":1}"#,
            r#"{"id":8,"error":{"code":-1,"message":"no"}}"#,
            r#"{"result":1}"#,
            r#"{"id":7}"#,
            r#"{"id":7,"result":1,"result":2}"#,
            r#"{"id":7,"result":1} x"#,
            r#"[{"id":7,"result":1}]"#,
            "<html>busy</html>",
            "7",
        ] {
            assert!(read(text).is_err_and(|cause| !cause.is_cut()), "{text}");
        }
        let whole = r#"{"jsonrpc":"2.0","id":7,"result":{"a":["b"]}}"#;
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err_and(|cause| cause.is_cut()), "{}", &whole[..end]);
        }
    }

    #[test]
    fn a_batch_comes_back_in_any_order() {
        let text = br#"[{"id":3,"result":"c"},{"id":1,"error":{"code":3,"message":"no"}},{"id":99,"result":1}]"#;
        let said = batch(text, 1, 3).unwrap();
        assert!(matches!(&said[0], Some(Err(complaint)) if complaint.code == 3));
        assert_eq!(said[1..], [None, Some(Ok("\"c\""))]);
        assert!(batch(br#"[{"id":1,"result":1},{"id":1,"result":2}]"#, 1, 2).is_err(), "two answers to one question");
        assert!(batch(br#"{"id":1,"result":1}"#, 1, 2).is_err());
    }

    #[test]
    fn a_question_is_json() {
        let question = Question::new("a\"b".to_owned(), "[1]".to_owned());
        let text: serde_json::Value = serde_json::from_str(&question.text(5)).unwrap();
        assert_eq!(text, serde_json::json!({ "jsonrpc": "2.0", "id": 5, "method": "a\"b", "params": [1] }));
    }
}
