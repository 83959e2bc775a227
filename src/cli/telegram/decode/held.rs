//! Answers in the order of their lines, those held back that may be better once a later line has taught a format.

use std::collections::VecDeque;

use super::{Answer, Decoder};
use crate::cli::Failure;

/// Answers that are not printed yet.
#[derive(Debug, Default)]
pub(super) struct Held {
    answers: VecDeque<(Answer, Option<Vec<u8>>)>,
}

impl Held {
    /// Takes the answer of a line; `print` is called for all that need not wait.
    pub(super) fn push(
        &mut self,
        decoder: &mut Decoder,
        line: &[u8],
        print: impl FnMut(&Answer) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let learned = decoder.formats.len();
        let answer = decoder.answer(line);
        let line = answer.waits.then(|| line.to_vec());
        self.answers.push_back((answer, line));
        if decoder.formats.len() != learned {
            for (answer, line) in &mut self.answers {
                if let Some(octets) = line.as_deref() {
                    *answer = decoder.answer(octets);
                    if !answer.waits {
                        *line = None;
                    }
                }
            }
        }
        self.release(LIMIT, print)
    }

    /// Takes an answer that is final.
    pub(super) fn push_final(
        &mut self,
        answer: Answer,
        print: impl FnMut(&Answer) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.answers.push_back((answer, None));
        self.release(LIMIT, print)
    }

    /// Nothing more will be learned.
    pub(super) fn finish(&mut self, print: impl FnMut(&Answer) -> Result<(), Failure>) -> Result<(), Failure> {
        self.release(0, print)
    }

    fn release(&mut self, limit: usize, mut print: impl FnMut(&Answer) -> Result<(), Failure>) -> Result<(), Failure> {
        while let Some((answer, line)) = self.answers.pop_front() {
            if line.is_some() && self.answers.len() < limit {
                self.answers.push_front((answer, line));
                break;
            }
            print(&answer)?;
        }
        Ok(())
    }
}

/// Answers held back at most.
const LIMIT: usize = 4096;
