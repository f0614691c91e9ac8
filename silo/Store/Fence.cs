namespace FlowMM.Silo.Store;

/// <summary>What a session must still be for a write to take effect.</summary>
/// <param name="Epoch">Its committed turns are those that the writer read.</param>
/// <param name="Owner">The run that holds its accepted turn; null: none does. Of two runs of one turn only the one that took it last can end it.</param>
internal readonly record struct Fence(long Epoch, string? Owner)
{
    /// <summary>A name for a run; no two are alike.</summary>
    public static string NewOwner() => Guid.NewGuid().ToString("N");
}
