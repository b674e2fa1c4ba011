//! Random inputs, made of real ones: nothing that comes from outside may panic, hang or break a promise.
//!
//! Each target in [`targets`] takes bytes and checks what has to hold for any bytes; this driver feeds it. The rounds are
//! few, so that the tests stay quick, and the same each time; `TOLLBELL_FUZZ_ROUNDS` makes them more, and
//! `TOLLBELL_FUZZ_SEED` others. `TOLLBELL_FUZZ_TRACE` names a folder that has the last input of each target, for what ends the
//! process. An input whose outcome is new joins the inputs that further ones are made of.

#![expect(clippy::print_stderr, reason = "figures for who raises the rounds by hand")]

mod mutate;
mod seeds;
mod targets;
mod words;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use fastrand::Rng;

use targets::Outcome;

/// Rounds when nobody asks for more.
const ROUNDS: usize = 1_500;
/// Inputs that new ones are made of, at most.
const CORPUS_MAX: usize = 4_096;
/// Attempts at making an input that fails smaller.
const SHRINKS: usize = 2_000;
/// No single input takes so long unless something runs away; even a busy machine needs milliseconds.
const RUNAWAY: Duration = Duration::from_secs(20);

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

fn fuzz(name: &str, seeds: &[Vec<u8>], words: &[&str], target: fn(&[u8]) -> Outcome) {
    let rounds = number("TOLLBELL_FUZZ_ROUNDS").unwrap_or(ROUNDS);
    let mut rng = Rng::with_seed(number("TOLLBELL_FUZZ_SEED").unwrap_or(1) as u64);
    let trace = std::env::var("TOLLBELL_FUZZ_TRACE").ok();
    let (mut corpus, mut seen) = (seeds.to_vec(), HashSet::new());
    let mut slowest = (Duration::ZERO, Vec::new());
    let begin = Instant::now();
    for round in 0..rounds + seeds.len() {
        let data = match seeds.get(round) {
            Some(seed) => seed.clone(),
            None => mutate::mutate(&mut rng, &corpus, words),
        };
        if let Some(folder) = &trace {
            std::fs::write(format!("{folder}/{name}"), &data).unwrap();
        }
        let start = Instant::now();
        let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| target(&data))) else {
            let small = shrink(&mut rng, data, target);
            panic!("{name} breaks on {:?}", String::from_utf8_lossy(&small));
        };
        let took = start.elapsed();
        assert!(took < RUNAWAY, "{name} ran {took:?} on {:?}", String::from_utf8_lossy(&data));
        if took > slowest.0 {
            slowest = (took, data.clone());
        }
        if seen.insert(outcome) && corpus.len() < CORPUS_MAX {
            corpus.push(data);
        }
    }
    eprintln!(
        "{name}: {rounds} rounds in {:?}, {} outcomes, slowest {:?} on {:?}",
        begin.elapsed(),
        seen.len(),
        slowest.0,
        String::from_utf8_lossy(&slowest.1).chars().take(300).collect::<String>()
    );
}

/// Leaves out what is not needed to fail.
fn shrink(rng: &mut Rng, mut data: Vec<u8>, target: fn(&[u8]) -> Outcome) -> Vec<u8> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    for _ in 0..SHRINKS {
        let start = rng.usize(..=data.len());
        let end = start + rng.usize(..=(data.len() - start).min(1 + data.len() / 4));
        let mut less = data.clone();
        less.drain(start..end);
        if catch_unwind(AssertUnwindSafe(|| target(&less))).is_err() {
            data = less;
        }
    }
    std::panic::set_hook(hook);
    data
}

#[test]
fn bodies() {
    fuzz("body", &seeds::bodies(), words::BODY_WORDS, targets::body);
}

#[test]
fn rule_files() {
    fuzz("rule_file", &seeds::rule_files(), words::CONFIG_WORDS, targets::rule_file);
}

#[test]
fn main_files() {
    fuzz("main_file", &seeds::main_files(), words::CONFIG_WORDS, targets::main_file);
}

#[test]
fn expressions() {
    fuzz("expression", &seeds::expressions(), words::EXPRESSION_WORDS, targets::expression);
}

#[test]
fn templates() {
    fuzz("template", &seeds::templates(), words::TEMPLATE_WORDS, targets::template);
}

#[test]
fn matchers() {
    fuzz("matcher", &seeds::matchers(), words::MATCHER_WORDS, targets::matcher);
}

#[test]
fn intervals() {
    fuzz("interval", &seeds::intervals(), words::INTERVAL_WORDS, targets::interval);
}
