//! Which resource a name stands for, so that it is read once however often it is named.
//!
//! hayro-syntax reads a dictionary anew each time that it is asked for, to its end: a million times one of a megabyte,
//! where a page selects its font a million times.

use hayro_syntax::object::{Dict, Name, ObjRef};

/// The object that a name refers to; what stands in the dictionary itself is known by its place and name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Object(ObjRef),
    Direct(*const u8, Vec<u8>),
}

impl Key {
    /// `None` where the dictionary does not have the name.
    pub(super) fn of(dict: &Dict<'_>, name: &Name<'_>) -> Option<Self> {
        if let Some(object) = dict.get_ref(name) {
            return Some(Self::Object(object));
        }
        let direct = || Self::Direct(dict.data().as_ptr(), name.as_ref().to_vec());
        dict.contains_key(name).then(direct)
    }
}
