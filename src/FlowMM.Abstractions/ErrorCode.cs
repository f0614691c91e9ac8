namespace FlowMM.Abstractions;

/// <summary>Why a request was refused, in the terms that the gateway translates to gRPC and HTTP.</summary>
public enum ErrorCode
{
    /// <summary>The request is malformed; nothing was recorded.</summary>
    InvalidArgument,

    /// <summary>No such session, turn or node.</summary>
    NotFound,

    /// <summary>The id is taken by other content.</summary>
    AlreadyExists,

    /// <summary>The session's state does not allow it: context overflow, another turn is running.</summary>
    FailedPrecondition,

    /// <summary>A queue or memory is full; the same request may succeed later.</summary>
    ResourceExhausted,

    /// <summary>The work was interrupted; retry with the same turn id.</summary>
    Unavailable,

    /// <summary>This version does not do it.</summary>
    Unimplemented,

    /// <summary>The tenant may not do it.</summary>
    PermissionDenied,

    /// <summary>The turn's time passed before its first token; its record was withdrawn, and the same turn id may be sent again.</summary>
    DeadlineExceeded,

    /// <summary>Bytes that the caller sent are not those that were once written; nothing was recorded.</summary>
    DataLoss,
}
