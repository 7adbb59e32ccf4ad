use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Numbers that look random and are the same each time.
fn embedding(seed: u64, dimensions: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut number = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f32::from((state >> 48) as u16) / 32_768.0 - 1.0
    };
    (0..dimensions)
        .map(|_| number() + number() + number())
        .collect()
}

fn index(dimensions: usize, rows: &[(u64, u64)]) -> Index {
    let mut index = Index::new(dimensions).unwrap();
    for &(group, key) in rows {
        let code = Code::new(&embedding(key, dimensions)).unwrap();
        index.append(group, [(key, &code)]).unwrap();
    }
    index
}

fn keys(candidates: &[Candidate]) -> Vec<u64> {
    candidates.iter().map(|candidate| candidate.key).collect()
}

fn exact(query: &[f32], keys: impl Iterator<Item = u64>, limit: usize) -> Vec<u64> {
    let vectors: Vec<(u64, Vec<f32>)> =
        keys.map(|key| (key, embedding(key, query.len()))).collect();
    let hits = rescore(
        query,
        vectors
            .iter()
            .map(|(key, vector)| (*key, vector.as_slice())),
        limit,
    )
    .unwrap();
    hits.iter().map(|hit| hit.key).collect()
}

#[test]
fn a_scan_and_rescoring_find_the_nearest() {
    for dimensions in [1, 7, 384, 1536] {
        let rows: Vec<(u64, u64)> = (0..1500).map(|key| (key / 100, key)).collect();
        let index = index(dimensions, &rows);
        assert_eq!((index.rows(), index.blocks()), (1500, 2));
        for seed in 5000..5010 {
            let query = embedding(seed, dimensions);
            let candidates = index
                .scan(&Query::new(&query).unwrap(), 40, |_| true)
                .unwrap();
            assert_eq!(candidates.len(), 40);
            if dimensions > 100 {
                let found = exact(&query, keys(&candidates).into_iter(), 10);
                assert_eq!(found, exact(&query, 0..1500, 10));
            }
            for candidate in candidates {
                let score = cosine(&query, &embedding(candidate.key, dimensions)).unwrap();
                assert!(
                    (candidate.score - score).abs() < 0.02,
                    "{} is not {score}",
                    candidate.score
                );
                assert_eq!(candidate.group, candidate.key / 100);
            }
        }
    }
}

/// An embedding beside one of a few others, as the chunks of a text are beside its subject.
fn clustered(seed: u64, dimensions: usize) -> Vec<f32> {
    let own = embedding(seed, dimensions);
    let centre = embedding(1_000_000 + seed % 97, dimensions);
    let numbers = own.into_iter().zip(centre);
    numbers.map(|(own, centre)| own + centre).collect()
}

/// Large enough for a first look at the signs, in groups of 50 rows.
fn large(rows: u64, dimensions: usize) -> Index {
    let mut index = Index::new(dimensions).unwrap();
    for key in 0..rows {
        let code = Code::new(&clustered(key, dimensions)).unwrap();
        index.append(key / 50, [(key, &code)]).unwrap();
    }
    index
}

#[test]
fn a_first_look_at_the_signs_loses_next_to_nothing() {
    let index = large(12_000, 256);
    for limit in [10, 40] {
        let mut found = 0;
        for seed in 0..20 {
            let query = Query::new(&clustered(50_000 + seed, 256)).unwrap();
            let some = keys(&index.scan(&query, limit, |_| true).unwrap());
            let all = keys(&index.scan_all_codes(&query, limit).unwrap());
            assert_eq!(some.len(), limit);
            found += all.iter().filter(|key| some.contains(key)).count();
        }
        assert!(found >= 20 * limit * 99 / 100, "{found} of {}", 20 * limit);
    }
}

#[test]
fn a_first_look_keeps_to_the_groups_that_are_allowed_and_there() {
    let mut index = large(12_000, 256);
    index.remove(7);
    let query = Query::new(&clustered(50_001, 256)).unwrap();
    let allowed = |group: u64| group < 120;
    let found = index.scan(&query, 10, allowed).unwrap();
    assert_eq!(found.len(), 10);
    for candidate in &found {
        assert!(allowed(candidate.group) && candidate.group != 7);
        assert_eq!(candidate.group, candidate.key / 50);
    }
    let all = index.scan_all_codes(&query, 12_000).unwrap();
    let best = all.iter().filter(|candidate| allowed(candidate.group));
    assert_eq!(found, best.take(10).copied().collect::<Vec<_>>());
}

#[test]
fn only_allowed_groups_are_found_and_asked_once_a_run() {
    let rows: Vec<(u64, u64)> = (0..3000).map(|key| (key / 1000, key)).collect();
    let index = index(16, &rows);
    let query = Query::new(&embedding(9, 16)).unwrap();
    let asked = std::cell::Cell::new(0);
    let found = index.scan(&query, 5000, |group| {
        asked.set(asked.get() + 1);
        group == 1
    });
    let mut found = keys(&found.unwrap());
    found.sort_unstable();
    assert_eq!(found, (1000..2000).collect::<Vec<_>>());
    assert_eq!(asked.get(), 3);
    assert_eq!(index.scan(&query, 0, |_| true).unwrap(), []);
}

#[test]
fn a_clone_stays_as_it_is() {
    let mut index = index(8, &[(1, 10), (1, 11), (2, 20)]);
    let before = index.clone();
    let query = Query::new(&embedding(10, 8)).unwrap();
    assert_eq!(index.remove(1), 2);
    assert_eq!(index.remove(1), 0);
    let code = Code::new(&embedding(30, 8)).unwrap();
    index.append(3, [(30, &code)]).unwrap();
    let sorted = |index: &Index| {
        let mut keys = keys(&index.scan(&query, 9, |_| true).unwrap());
        keys.sort_unstable();
        keys
    };
    assert_eq!(sorted(&before), [10, 11, 20]);
    assert_eq!(sorted(&index), [20, 30]);
}

#[test]
fn memory_of_removed_rows_is_given_back() {
    let rows: Vec<(u64, u64)> = (0..8 * 1024).map(|key| (key % 4, key)).collect();
    let mut index = index(64, &rows);
    let full = index.bytes();
    let per_row = full / rows.len();
    assert!((76..110).contains(&per_row), "{per_row} bytes a row");
    index.remove(0);
    index.remove(1);
    assert_eq!(index.rows(), 4 * 1024);
    assert!(
        index.bytes() < full * 3 / 4,
        "{} of {full} bytes",
        index.bytes()
    );
    index.remove(2);
    index.remove(3);
    assert_eq!((index.rows(), index.blocks(), index.bytes()), (0, 0, 0));
}

#[test]
fn a_key_of_several_rows_is_named_once_by_its_best() {
    let index = index(32, &[(1, 7), (1, 8)]);
    let mut twice = index.clone();
    let opposite: Vec<f32> = embedding(7, 32).iter().map(|number| -number).collect();
    twice
        .append(1, [(7, &Code::new(&opposite).unwrap())])
        .unwrap();
    let query = Query::new(&embedding(7, 32)).unwrap();
    let found = twice.scan(&query, 10, |_| true).unwrap();
    assert_eq!(keys(&found), [7, 8]);
    assert!(found[0].score > 0.99);
    let rows = [(7, opposite), (7, embedding(7, 32))];
    let hits = rescore(
        &embedding(7, 32),
        rows.iter().map(|(key, row)| (*key, row.as_slice())),
        10,
    )
    .unwrap();
    assert_eq!(hits.len(), 1);
    assert!((hits[0].score - 1.0).abs() < 1e-5);
}

#[test]
fn parts_of_a_scan_are_the_whole_scan() {
    let rows: Vec<(u64, u64)> = (0..5000).map(|key| (key / 700, key)).collect();
    let index = index(24, &rows);
    let query = Query::new(&embedding(77, 24)).unwrap();
    let whole = index.scan(&query, 50, |_| true).unwrap();
    let parts = [0..2, 2..3, 3..index.blocks()]
        .map(|part| index.scan_blocks(part, &query, 50, |_| true).unwrap());
    assert_eq!(merge(parts, 50), whole);
    assert_eq!(index.scan_blocks(9..12, &query, 50, |_| true).unwrap(), []);
}

#[test]
fn vectors_without_direction_or_of_another_width_are_refused() {
    for bad in [
        vec![0.0; 4],
        vec![1.0, f32::NAN, 0.0, 0.0],
        vec![f32::INFINITY, 0.0, 0.0, 0.0],
        vec![1e-44; 4],
    ] {
        assert_eq!(Code::new(&bad), Err(VectorError::NoDirection), "{bad:?}");
        assert!(Query::new(&bad).is_err());
        assert_eq!(
            cosine(&bad, &[1.0; 4]),
            Err(VectorError::NoDirection),
            "{bad:?}"
        );
    }
    let mut index = index(4, &[(1, 1)]);
    let wide = Code::new(&[1.0; 5]).unwrap();
    let fitting = Code::new(&[1.0; 4]).unwrap();
    let error = VectorError::Dimensions {
        expected: 4,
        found: 5,
    };
    assert_eq!(index.append(1, [(2, &fitting), (3, &wide)]), Err(error));
    assert_eq!(index.rows(), 1);
    assert_eq!(
        index.scan(&Query::new(&[1.0; 5]).unwrap(), 1, |_| true),
        Err(error)
    );
    assert!(Index::new(0).is_err() && Index::new(MAX_DIMENSIONS + 1).is_err());
    assert!(Code::new(&vec![1.0; MAX_DIMENSIONS + 1]).is_err() && Code::new(&[]).is_err());
}

#[test]
fn the_largest_sums_fit() {
    let wide = vec![1.0; MAX_DIMENSIONS];
    let mut index = Index::new(MAX_DIMENSIONS).unwrap();
    index.append(1, [(1, &Code::new(&wide).unwrap())]).unwrap();
    let found = index
        .scan(&Query::new(&wide).unwrap(), 1, |_| true)
        .unwrap();
    assert!((found[0].score - 1.0).abs() < 1e-3, "{}", found[0].score);
}

proptest! {
    #[test]
    fn codes_survive_bytes_and_keep_the_direction(numbers in prop::collection::vec(-1e6_f32..1e6, 1..200)) {
        prop_assume!(numbers.iter().any(|number| number.abs() > 1.0));
        let code = Code::new(&numbers).unwrap();
        prop_assert_eq!(Code::from_bytes(&code.to_bytes()), Some(code.clone()));
        let values: Vec<f32> = code.values().iter().map(|&value| f32::from(value)).collect();
        prop_assert!(cosine(&numbers, &values).unwrap() > 0.999);
        let length: f32 = values.iter().map(|value| (value * code.scale()).powi(2)).sum::<f32>().sqrt();
        prop_assert!((length - 1.0).abs() < 0.02, "length {}", length);
    }

    #[test]
    fn any_writing_leaves_what_a_map_would_hold(steps in prop::collection::vec((0_u64..6, any::<bool>(), 1_u64..400), 1..40)) {
        let mut index = Index::new(3).unwrap();
        let mut model: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut next = 0;
        for (group, append, rows) in steps {
            if append {
                let codes: Vec<(u64, Code)> = (next..next + rows).map(|key| (key, Code::new(&embedding(key, 3)).unwrap())).collect();
                index.append(group, codes.iter().map(|(key, code)| (*key, code))).unwrap();
                model.entry(group).or_default().extend(next..next + rows);
                next += rows;
            } else {
                let expected = model.remove(&group).unwrap_or_default().len();
                prop_assert_eq!(index.remove(group), expected);
            }
        }
        let found = index.scan(&Query::new(&[1.0, 2.0, 3.0]).unwrap(), usize::MAX, |_| true).unwrap();
        let mut found: Vec<(u64, u64)> = found.iter().map(|hit| (hit.group, hit.key)).collect();
        found.sort_unstable();
        let expected: Vec<(u64, u64)> = model.iter().flat_map(|(group, keys)| keys.iter().map(|key| (*group, *key))).collect();
        prop_assert_eq!(index.rows(), expected.len());
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn garbage_is_no_code(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Some(code) = Code::from_bytes(&bytes) {
            prop_assert_eq!(code.to_bytes(), bytes);
        }
    }
}
