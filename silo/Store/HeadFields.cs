namespace FlowMM.Silo.Store;

/// <summary>Fields of a session's head.</summary>
internal static class HeadFields
{
    /// <summary>Rises with each commit; a head without it is no session.</summary>
    public const string Epoch = "epoch";

    /// <summary>What the session was created with, JSON.</summary>
    public const string Spec = "spec";

    /// <summary>When it was created, ISO 8601.</summary>
    public const string Created = "created";

    /// <summary>Id of the model.</summary>
    public const string Model = "model";

    /// <summary>Logical length.</summary>
    public const string Tokens = "tokens";

    /// <summary>The accepted turn that is not committed, JSON.</summary>
    public const string Pending = "pending";

    /// <summary>Who runs that turn: a name that each run of it takes, new every time; absent: nobody.</summary>
    public const string Owner = "owner";

    /// <summary>Epoch of the newest snapshot: its generation.</summary>
    public const string Snapshot = "snapshot";

    /// <summary>Name of the blob that holds that snapshot's chunks.</summary>
    public const string Cache = "cache";

    /// <summary>Least epoch of a snapshot that may still come; absent: any.</summary>
    public const string LeastSnapshot = "fence";
}
