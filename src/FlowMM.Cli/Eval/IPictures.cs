namespace FlowMM.Cli.Eval;

/// <summary>Where an evaluation's pictures are.</summary>
public interface IPictures
{
    /// <summary>A picture's file bytes.</summary>
    /// <param name="name">As its conversations or samples name it.</param>
    /// <exception cref="IOException">It cannot be read.</exception>
    byte[] Picture(string name);
}
