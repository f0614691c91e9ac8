using FlowMM.Abstractions;

namespace FlowMM.Silo.Placement;

/// <summary>Where a session goes: a pure function of what the nodes report.</summary>
internal static class PlacementChoice
{
    /// <summary>What it is worth that a node knows all pictures of a turn, in shares of its whole capacity: encoding them again is that dear.</summary>
    private const double WorthOfPictures = 0.25;

    /// <summary>
    /// Power of two choices: of two nodes drawn at random, the one with less to do. Reports are a second old, so taking the best of all would send
    /// everybody to the same node. A node that knows most of the turn's pictures is looked at too, and wins unless it is much busier.
    /// </summary>
    /// <param name="nodes">Nodes that may run the session, with the sessions sent to each since its report; those that drain are left out.</param>
    /// <param name="pictures">Keys of the turn's pictures.</param>
    /// <param name="random">Draws.</param>
    /// <returns>Its place in the list; null when no node is left.</returns>
    public static int? Choose(IReadOnlyList<(NodeLoad Load, int Sent)> nodes, IReadOnlyList<ulong> pictures, Random random)
    {
        int[] open = [.. Enumerable.Range(0, nodes.Count).Where(i => !nodes[i].Load.Draining)];
        if (open.Length == 0)
        {
            return null;
        }

        int first = random.Next(open.Length), second = open.Length == 1 ? first : (first + 1 + random.Next(open.Length - 1)) % open.Length;
        List<int> looked = [open[first], open[second]];
        if (pictures.Count > 0)
        {
            looked.Add(open.MaxBy(i => Known(nodes[i].Load, pictures)));
        }

        return looked.MinBy(i => Cost(nodes[i].Load, nodes[i].Sent, pictures));
    }

    /// <summary>What a node has to do, 0 for nothing; 1 for a full memory or for as many turns as run side by side.</summary>
    internal static double Cost(NodeLoad load, int sent, IReadOnlyList<ulong> pictures) =>
        ((double)load.CacheBytes / load.CacheBytesLimit)
        + ((double)(load.Queued + load.Running + sent) / load.MaxRunning)
        - (WorthOfPictures * Known(load, pictures));

    private static double Known(NodeLoad load, IReadOnlyList<ulong> pictures) =>
        pictures.Count == 0 ? 0 : (double)pictures.Count(p => PictureDigest.MayHold(load.Pictures, p)) / pictures.Count;
}
