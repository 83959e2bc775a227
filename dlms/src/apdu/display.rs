//! One line for each APDU.

use std::fmt::{self, Display};

use super::{
    ActionRequest, ActionResponse, ActionReturn, Apdu, DataNotification, EventNotification, GeneralBlockTransfer,
    GetRequest, GetResponse, Selected, Selection, SetRequest, SetResponse,
};
use crate::Data;
use crate::spec::DataAccessResult;

impl Display for Apdu<'_> {
    /// `get-request 0-0:1.0.0*255 class 8 attribute 2`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GetRequest(apdu) => apdu.fmt(f),
            Self::GetResponse(apdu) => apdu.fmt(f),
            Self::SetRequest(apdu) => apdu.fmt(f),
            Self::SetResponse(apdu) => apdu.fmt(f),
            Self::ActionRequest(apdu) => apdu.fmt(f),
            Self::ActionResponse(apdu) => apdu.fmt(f),
            Self::EventNotification(apdu) => apdu.fmt(f),
            Self::DataNotification(apdu) => apdu.fmt(f),
            Self::GeneralBlockTransfer(apdu) => apdu.fmt(f),
            Self::ExceptionResponse(apdu) => apdu.fmt(f),
            Self::ConfirmedServiceError(apdu) => apdu.fmt(f),
        }
    }
}

impl Display for Selected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attribute.fmt(f)?;
        match &self.selection {
            None => Ok(()),
            Some(Selection::Range(range)) => write!(f, " from {} to {}", range.from_value, range.to_value),
            Some(Selection::Entries(rows)) => write!(f, " entries {} to {}", rows.from_entry, rows.to_entry),
            Some(Selection::Other { selector, parameters }) => write!(f, " selector {selector} {parameters}"),
        }
    }
}

impl Display for GetRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal { selected, .. } => write!(f, "get-request {selected}"),
            Self::Next { block_number, .. } => write!(f, "get-request next {block_number}"),
            Self::WithList { list, .. } => write!(f, "get-request of {}", list.len()),
        }
    }
}

impl Display for GetResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal { result, .. } => {
                f.write_str("get-response ")?;
                data(f, result)
            }
            Self::WithDataBlock { is_last, block_number, result, .. } => {
                let last = if *is_last { " last" } else { "" };
                write!(f, "get-response block {block_number}{last} ")?;
                match result {
                    Ok(raw) => write!(f, "{} octets", raw.len()),
                    Err(reason) => reason.fmt(f),
                }
            }
            Self::WithList { results, .. } => {
                write!(f, "get-response of {}", results.len())?;
                results.iter().try_for_each(|result| {
                    f.write_str(", ")?;
                    data(f, result)
                })
            }
        }
    }
}

impl Display for SetRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal { selected, value, .. } => write!(f, "set-request {selected} {value}"),
            Self::WithFirstDatablock { selected, block, .. } => {
                write!(f, "set-request {selected} block {}", block.number)
            }
            Self::WithDatablock { block, .. } => write!(f, "set-request block {}", block.number),
            Self::WithList { list, .. } => write!(f, "set-request of {}", list.len()),
            Self::WithListAndFirstDatablock { list, block, .. } => {
                write!(f, "set-request of {} block {}", list.len(), block.number)
            }
        }
    }
}

impl Display for SetResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("set-response ")?;
        let all = |f: &mut fmt::Formatter<'_>, results: &[DataAccessResult]| {
            results.iter().try_for_each(|result| write!(f, "{result}, "))
        };
        match self {
            Self::Normal { result, .. } => result.fmt(f),
            Self::Datablock { block_number, .. } => write!(f, "block {block_number}"),
            Self::LastDatablock { result, block_number, .. } => write!(f, "{result} block {block_number} last"),
            Self::LastDatablockWithList { results, block_number, .. } => {
                all(f, results)?;
                write!(f, "block {block_number} last")
            }
            Self::WithList { results, .. } => {
                all(f, results)?;
                write!(f, "{} in all", results.len())
            }
        }
    }
}

impl Display for ActionRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal { method, parameter: Some(parameter), .. } => write!(f, "action-request {method} {parameter}"),
            Self::Normal { method, parameter: None, .. } => write!(f, "action-request {method}"),
            Self::NextPblock { block_number, .. } => write!(f, "action-request next {block_number}"),
            Self::WithList { methods, .. } => write!(f, "action-request of {}", methods.len()),
            Self::WithFirstPblock { method, block, .. } => write!(f, "action-request {method} block {}", block.number),
            Self::WithListAndFirstPblock { methods, block, .. } => {
                write!(f, "action-request of {} block {}", methods.len(), block.number)
            }
            Self::WithPblock { block, .. } => write!(f, "action-request block {}", block.number),
        }
    }
}

impl Display for ActionResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal { answer, .. } => write!(f, "action-response {answer}"),
            Self::WithPblock { block, .. } => write!(f, "action-response block {}", block.number),
            Self::WithList { answers, .. } => {
                write!(f, "action-response of {}", answers.len())?;
                answers.iter().try_for_each(|answer| write!(f, ", {answer}"))
            }
            Self::NextPblock { block_number, .. } => write!(f, "action-response next {block_number}"),
        }
    }
}

impl Display for ActionReturn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.result.fmt(f)?;
        match &self.value {
            None => Ok(()),
            Some(value) => {
                f.write_str(" ")?;
                data(f, value)
            }
        }
    }
}

impl Display for EventNotification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("event-notification ")?;
        if let Some(time) = &self.time {
            write!(f, "{time} ")?;
        }
        write!(f, "{} {}", self.attribute, self.value)
    }
}

impl Display for DataNotification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data-notification ")?;
        if let Some(date_time) = &self.date_time {
            write!(f, "{date_time} ")?;
        }
        self.body.fmt(f)
    }
}

impl Display for GeneralBlockTransfer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = if self.control.is_last { " last" } else { "" };
        let streaming = if self.control.is_streaming { " streaming" } else { "" };
        write!(f, "general-block-transfer {}{last}{streaming} window {}", self.block_number, self.control.window)?;
        write!(f, " ack {} {} octets", self.block_number_ack, self.block_data.len())
    }
}

fn data(f: &mut fmt::Formatter<'_>, result: &Result<Data<'_>, DataAccessResult>) -> fmt::Result {
    match result {
        Ok(value) => value.fmt(f),
        Err(reason) => reason.fmt(f),
    }
}
