namespace FlowMM.Abstractions;

/// <summary>One node, by its name. It is activated on that node when its first call carries the node's address as placement hint.</summary>
[Alias("flowmm.INodeGrain")]
public interface INodeGrain : IGrainWithStringKey
{
    /// <summary>Takes the node out of placement and begins to move every session off it. While that goes on, it is joined; a nearer bound then counts.</summary>
    /// <param name="bound">Longest time; null: as configured.</param>
    /// <param name="cancellationToken">Stops waiting, not the draining.</param>
    /// <exception cref="RefusedException">It runs on another node than its name says; try again.</exception>
    [Alias("BeginDrain")]
    Task BeginDrain(TimeSpan? bound, CancellationToken cancellationToken);

    /// <summary>What the newest draining came to. Waits a moment for its end: asked again and again, so that no call lasts as long as a drain may.</summary>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>Sessions moved, and sessions left behind when the bound passed; null while it goes on.</returns>
    /// <exception cref="RefusedException">The node was not told to drain, or this runs on another node than its name says.</exception>
    [Alias("Drained")]
    Task<Drained?> Drained(CancellationToken cancellationToken);
}

/// <summary>What emptying a node came to.</summary>
/// <param name="Moved">Sessions that left.</param>
/// <param name="Left">Sessions that are still there.</param>
[GenerateSerializer, Immutable, Alias("flowmm.Drained")]
public sealed record Drained([property: Id(0)] int Moved, [property: Id(1)] int Left);
