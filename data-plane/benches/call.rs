//! What a call pays inside the data plane beside reading its body: who asks, whether they may, who serves; and its
//! two records in the spool.
//!
//! `cargo bench -p data-plane --features bench --bench call`

use std::cell::Cell;

use data_plane::bench::{Desk, Pen};
use divan::Bencher;

fn main() {
    divan::main();
}

/// Each time another of all keys, so that the tables are found where they lie in earnest: in memory, not in the cache.
#[divan::bench(args = [1_000, 100_000])]
fn authenticated_authorized_and_routed(bencher: Bencher<'_, '_>, keys: usize) {
    let desk = Desk::with_keys(keys);
    let number = Cell::new(0_usize);
    bencher.bench_local(|| {
        number.set(number.get().wrapping_add(7919));
        desk.serve(number.get())
    });
}

#[divan::bench]
fn opened_and_closed_in_the_spool(bencher: Bencher<'_, '_>) {
    let Ok(pen) = Pen::on_a_new_spool() else { return };
    bencher.bench_local(|| pen.book());
}
