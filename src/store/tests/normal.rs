use super::*;

#[test]
fn records_come_back_in_sealed_batches_as_they_went_in() {
    let bench = Bench::new();
    let (store, opening, reports) = bench.open();
    assert_eq!(opening.start, Start::New);
    let mut number = 0;
    for count in [1, 3, 17, 49, 50, 51, 130, 2] {
        let commit = put(&store, Lane::MBus, number..number + count);
        assert_eq!(commit.count as u64, count);
        assert_eq!(commit.lanes, [CommittedLane { lane: Lane::MBus, first: number + 1, last: number + count }]);
        number += count;
    }
    seal(&bench, &store);
    let batches = all(&store, store.epoch(), Lane::MBus);
    check_chain(&batches);
    let read: Vec<_> = batches.iter().flat_map(texts).collect();
    assert_eq!(read, (0..number).map(text).collect::<Vec<_>>());
    assert!(batches.iter().all(|batch| batch.count <= 50));
    let committed: Vec<_> =
        reports.try_iter().filter_map(|r| if let Report::Committed(c) = r { Some(c) } else { None }).collect();
    assert!(committed.iter().zip(&committed[1..]).all(|(one, next)| next.number > one.number));
    assert_eq!(committed.iter().map(|c| c.count as u64).sum::<u64>(), number);
    assert!(store.verify().unwrap().is_sound());
    assert_eq!(store.statistics().blobs, 0);
}

#[test]
fn urgent_lanes_are_committed_and_sealed_without_being_asked() {
    let bench = Bench::new();
    let (store, ..) = bench.open();
    for lane in [Lane::Outage, Lane::Security, Lane::OnDemand, Lane::Billing] {
        let (done, result) = channel();
        store.append(vec![(lane, raw(text(1)))], Some(Box::new(move |r| done.send(r).unwrap()))).unwrap();
        let commit = result.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(commit.lanes[0].lane, lane);
        let sealed_at_once = !all(&store, store.epoch(), lane).is_empty();
        assert_eq!(sealed_at_once, lane != Lane::Billing, "{lane}");
    }
    let (done, result) = channel();
    store.append(vec![(Lane::MBus, raw(text(1)))], Some(Box::new(move |r| done.send(r).unwrap()))).unwrap();
    assert!(result.recv_timeout(Duration::from_millis(200)).is_err(), "others wait for the window");
    bench.pass(Duration::from_secs(11));
    put(&store, Lane::Raw, []);
    assert_eq!(all(&store, store.epoch(), Lane::Billing).len(), 1);
}

#[test]
fn a_store_goes_on_where_it_was_closed() {
    let bench = Bench::new();
    let (store, first, _) = bench.open();
    put(&store, Lane::MBus, 0..120);
    put(&store, Lane::LoadProfile, 0..7);
    let before = all(&store, first.epoch, Lane::MBus);
    store.close().unwrap();
    assert!(matches!(store.commit(None), Err(StoreError::Closed)));
    let (store, opening, _) = bench.open();
    assert_eq!((opening.epoch, opening.start, opening.unsealed), (first.epoch, Start::Continued, 20 + 7));
    put(&store, Lane::MBus, 120..150);
    seal(&bench, &store);
    let batches = all(&store, first.epoch, Lane::MBus);
    assert_eq!(batches[..before.len()], before, "a resend is byte-identical");
    check_chain(&batches);
    assert_eq!(batches.iter().flat_map(texts).collect::<Vec<_>>(), (0..150).map(text).collect::<Vec<_>>());
    assert_eq!(all(&store, first.epoch, Lane::LoadProfile).iter().flat_map(texts).count(), 7);
    assert_eq!(store.batch(first.epoch, Lane::MBus, 51).unwrap().unwrap(), batches[1]);
    assert_eq!(store.batch(first.epoch, Lane::MBus, 151).unwrap(), None);
}

#[test]
fn acknowledged_batches_are_not_offered_again() {
    let bench = Bench::new();
    let (store, Opening { epoch, .. }, _) = bench.open();
    put(&store, Lane::MBus, 0..500);
    let everything = Limit { batches: 100, octets: 1 << 20 };
    let offered = |store: &Store| -> Vec<u64> {
        store.unacknowledged(Lane::MBus, None, everything).unwrap().iter().map(|batch| batch.first).collect()
    };
    assert_eq!(offered(&store).len(), 10);
    store.acknowledge(epoch, Lane::MBus, &[(51, 100), (1, 50), (201, 260)]).unwrap();
    assert_eq!(offered(&store), [101, 151, 251, 301, 351, 401, 451]);
    assert!(store.is_acknowledged(epoch, Lane::MBus, 1, 100));
    assert!(!store.is_acknowledged(epoch, Lane::MBus, 100, 101));
    assert_eq!(store.unacknowledged(Lane::MBus, Some((epoch, 300)), everything).unwrap()[0].first, 301);
    assert_eq!(store.unacknowledged(Lane::MBus, None, Limit { batches: 9, octets: 1 }).unwrap().len(), 1);
    store.acknowledge(epoch, Lane::MBus, &[(400, u64::MAX)]).unwrap();
    assert!(!store.is_acknowledged(epoch, Lane::MBus, 400, 501), "what is not sealed cannot be acknowledged");
    store.acknowledge(Epoch(12345), Lane::MBus, &[(1, 9)]).unwrap();
    store.close().unwrap();
    let (store, ..) = bench.open();
    assert_eq!(offered(&store), [101, 151, 251, 301, 351], "acknowledgements are kept");
    assert_eq!(store.statistics().lanes[Lane::MBus as usize].unacknowledged, 500 - 100 - 60 - 101);
    store.close().unwrap();
}

#[test]
fn acknowledged_batches_leave_after_their_time_and_others_stay() {
    let bench = Bench::new();
    let (store, Opening { epoch, .. }, reports) = bench.open();
    put(&store, Lane::MBus, 0..200);
    store.acknowledge(epoch, Lane::MBus, &[(1, 150)]).unwrap();
    bench.pass(Duration::from_secs(59 * 86_400));
    put(&store, Lane::MBus, 200..210);
    assert_eq!(all(&store, epoch, Lane::MBus)[0].first, 1, "within its time a range can be sent again");
    bench.pass(Duration::from_secs(2 * 86_400));
    put(&store, Lane::MBus, 210..211);
    assert_eq!(all(&store, epoch, Lane::MBus)[0].first, 151, "what nobody acknowledged has no time");
    let figures = store.statistics().lanes[Lane::MBus as usize].clone();
    assert_eq!((figures.evicted, figures.lost, figures.gaps), (150, 0, 0));
    assert!(!reports.try_iter().any(|report| matches!(report, Report::Evicted { .. })));
    assert!(store.verify().unwrap().is_sound());
    store.close().unwrap();
}

#[test]
fn a_store_beyond_its_size_gives_up_the_oldest_of_the_least_urgent_lane_and_tells_it() {
    let bench = Bench { options: Options { size_limit: 40_000, ..Bench::new().options }, ..Bench::new() };
    let (store, Opening { epoch, .. }, reports) = bench.open();
    put(&store, Lane::LoadProfile, 0..500);
    for n in 0..40 {
        put(&store, Lane::MBus, n * 50..n * 50 + 50);
    }
    let statistics = store.statistics();
    assert!(statistics.lanes.iter().map(|lane| lane.octets).sum::<u64>() <= 40_000 + 3_000);
    assert_eq!(all(&store, epoch, Lane::LoadProfile)[0].first, 1, "the more urgent lane is whole");
    let kept = all(&store, epoch, Lane::MBus);
    let figures = &statistics.lanes[Lane::MBus as usize];
    assert_eq!(figures.lost, kept[0].first - 1);
    assert!(figures.lost > 0 && figures.records + figures.lost == 2000);
    // The chain verifies across the gaps: the last one ends with the hash that the oldest batch names.
    let told = events(&store);
    let hash = format!("{:?}", kept[0].previous_hash);
    assert!(told.contains(&format!("last: {}, reason: \"no room\", hash: {hash}", kept[0].first - 1)), "{told}");
    let evicted: u64 = reports
        .try_iter()
        .filter_map(
            |report| if let Report::Evicted { first, last, .. } = report { Some(last - first + 1) } else { None },
        )
        .sum();
    assert_eq!(evicted, figures.lost);
    assert_eq!(statistics.blobs, 0);
    // Acknowledged ones of any lane leave first.
    store.acknowledge(epoch, Lane::LoadProfile, &[(1, 500)]).unwrap();
    put(&store, Lane::MBus, 0..400);
    put(&store, Lane::MBus, []);
    assert!(all(&store, epoch, Lane::LoadProfile).len() < 10);
    store.close().unwrap();
}

#[test]
fn a_full_queue_gives_records_back() {
    let bench = Bench { options: Options { queue_records: 100, ..Bench::new().options }, ..Bench::new() };
    let (store, ..) = bench.open();
    let some = |n: u64| (0..n).map(|n| (Lane::MBus, raw(text(n)))).collect::<Vec<_>>();
    assert!(store.try_append(some(60), None).is_ok());
    assert!(store.try_append(some(40), None).is_ok());
    let Err((error, records, _)) = store.try_append(some(1), None) else { panic!("taken") };
    assert!(matches!(error, StoreError::Busy));
    assert_eq!(records, some(1));
    assert_eq!(store.statistics().queued, 100);
    put(&store, Lane::MBus, []);
    assert!(store.try_append(some(1), None).is_ok());
    store.close().unwrap();
}

#[test]
fn a_record_that_fits_into_no_value_is_refused_with_all_that_came_with_it() {
    let bench = Bench::new();
    let (store, ..) = bench.open();
    let records = vec![(Lane::MBus, raw(text(1))), (Lane::MBus, raw(vec![1; 6_000]))];
    assert!(matches!(store.append(records, None), Err(StoreError::TooLarge { lane: Lane::MBus, .. })));
    assert_eq!(put(&store, Lane::MBus, [1]).count, 1);
}

#[test]
fn long_records_that_do_not_shrink_stay_in_small_values() {
    let bench = Bench::new();
    let (store, Opening { epoch, .. }, _) = bench.open();
    for round in 0..40u64 {
        let long = |n: u64| (Lane::Raw, raw(text(n).repeat(50 + (n % 7) as usize * 10)));
        store.append((0..30).map(|n| long(round * 30 + n)).collect(), None).unwrap();
        put(&store, Lane::Raw, []);
        if round > 3 {
            store.acknowledge(epoch, Lane::Raw, &[(1, round * 20)]).unwrap();
        }
    }
    seal(&bench, &store);
    let batches = all(&store, epoch, Lane::Raw);
    check_chain(&batches);
    assert!(batches.iter().all(|batch| batch.octets.len() <= bench.options.seal_octets));
    assert!(batches.iter().map(|batch| batch.octets.len()).max().unwrap() > bench.options.seal_octets / 2);
    assert_eq!(batches.iter().map(|batch| u64::from(batch.count)).sum::<u64>(), 1200);
    bench.pass(Duration::from_secs(70 * 86_400));
    for _ in 0..20 {
        put(&store, Lane::Raw, [1]);
        bench.pass(Duration::from_secs(61));
    }
    assert!(store.statistics().lanes[Lane::Raw as usize].evicted > 300);
    assert_eq!(store.statistics().blobs, 0, "no value became a file");
}

#[test]
fn a_store_is_opened_once_at_a_time() {
    let bench = Bench::new();
    let (store, ..) = bench.open();
    put(&store, Lane::MBus, 0..10);
    assert!(matches!(bench.try_open(), Err(OpenError::InUse { .. })));
    put(&store, Lane::MBus, 10..20);
    store.close().unwrap();
    let (store, opening, _) = bench.open();
    assert_eq!(opening.start, Start::Continued);
    store.close().unwrap();
}

#[test]
fn what_a_unit_left_is_told_without_opening_it() {
    let bench = Bench::new();
    let (store, Opening { epoch, .. }, _) = bench.open();
    put(&store, Lane::MBus, 0..333);
    put(&store, Lane::Outage, 0..3);
    store.acknowledge(epoch, Lane::MBus, &[(1, 100)]).unwrap();
    put(&store, Lane::MBus, 333..340);
    let live = store.statistics();
    store.close().unwrap();
    let left = inspect(&bench.options.path, &PLAIN).unwrap();
    assert_eq!(left.statistics.lanes, live.lanes);
    assert_eq!(left.promised.as_ref().unwrap().0, epoch);
    assert!(left.verification.is_sound(), "{:?}", left.verification);
    assert_eq!(left.verification.records, 300 + 3 + 1, "sealed records, and the event of the first start");
    assert!(inspect(&bench.path("nothing"), &PLAIN).is_err());
}

/// Hands a record and a mark over together.
fn put_marked(store: &Store, n: u64, value: &[u8]) {
    let (done, result) = channel();
    let marks = [(b"far:a".to_vec(), value.to_vec())];
    let done: Done = Box::new(move |result| done.send(result.map(drop)).unwrap());
    assert!(store.try_append_marked(vec![(Lane::LoadProfile, raw(text(n)))], &marks, None).is_ok());
    store.commit(Some(done)).unwrap();
    result.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
}

#[test]
fn marks_are_kept_with_the_records_they_came_with() {
    let bench = Bench::new();
    let (store, ..) = bench.open();
    assert_eq!(store.marks(b"far:").unwrap(), []);
    put_marked(&store, 0, b"one");
    put_marked(&store, 1, b"two");
    let other = [(b"near:b".to_vec(), b"three".to_vec())];
    assert!(store.try_append_marked(Vec::new(), &other, None).is_ok());
    put(&store, Lane::MBus, [2]);
    store.close().unwrap();
    let (store, ..) = bench.open();
    assert_eq!(store.marks(b"far:").unwrap(), [(b"far:a".to_vec(), b"two".to_vec())]);
    assert_eq!(store.marks(b"").unwrap().len(), 2);
    let long = [(vec![0; 65], Vec::new())];
    assert!(matches!(store.try_append_marked(Vec::new(), &long, None), Err((StoreError::TooLarge { .. }, ..))));
    assert!(store.verify().unwrap().is_sound());
    store.close().unwrap();
}

#[test]
fn marks_are_salvaged_from_a_damaged_store() {
    let bench = Bench::new();
    let (store, ..) = bench.open();
    put_marked(&store, 0, b"one");
    put_marked(&store, 1, b"two");
    store.close().unwrap();
    let sequence = bench.path("sequence");
    // A store that lacks what was promised is salvaged.
    let newer = std::fs::read(&sequence).unwrap();
    let copy = bench.path("copy");
    std::fs::copy(bench.path("sled/db"), &copy).unwrap();
    let (store, ..) = bench.open();
    put_marked(&store, 2, b"three");
    store.close().unwrap();
    assert_ne!(std::fs::read(&sequence).unwrap(), newer);
    std::fs::copy(&copy, bench.path("sled/db")).unwrap();
    let (store, opening, _) = bench.open();
    assert!(matches!(opening.start, Start::NewEpoch { .. }), "{:?}", opening.start);
    assert_eq!(store.marks(b"far:").unwrap(), [(b"far:a".to_vec(), b"two".to_vec())]);
    store.close().unwrap();
}
