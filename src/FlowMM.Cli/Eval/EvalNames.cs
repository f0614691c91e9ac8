namespace FlowMM.Cli.Eval;

/// <summary>Chooses by names that a user gave.</summary>
internal static class EvalNames
{
    /// <summary>Those of <paramref name="all"/> that are named, in the order of <paramref name="all"/>; all when no name is given.</summary>
    /// <exception cref="CommandException">A name is unknown; the text lists the known ones.</exception>
    public static IReadOnlyList<T> Choose<T>(IReadOnlyList<string>? names, IReadOnlyList<T> all, Func<T, string> nameOf, string kind)
    {
        string[] known = [.. all.Select(nameOf)];
        return names?.FirstOrDefault(n => !known.Contains(n)) is string unknown
            ? throw new CommandException($"'{unknown}' is no {kind}: {string.Join(", ", known)}")
            : [.. all.Where(a => names?.Contains(nameOf(a)) != false)];
    }
}
